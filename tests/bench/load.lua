-- What wrk sends, and what it says at its end.
--
--     wrk -s load.lua URL                     GET, always the same bytes
--     wrk -s load.lua URL -- METHOD FILE      each line of FILE as a body, in turn; an empty one is none
--     wrk -s load.lua URL -- refresh FILE     each line of FILE is a refresh token, used once; then those
--                                             of the answers
--
-- With a file no two requests are the same bytes, so that the client's work is alike in all cases.
-- The end is one line of JSON: requests, seconds, bytes read, failures, and quantiles in seconds.
local THREADS = 2
local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

local function post(body, number)
   local headers = {["User-Agent"] = string.format("wrk %06d", number)}
   if body ~= "" then
      headers["Content-Type"] = "application/x-www-form-urlencoded"
   end
   return headers, body ~= "" and body or nil
end

local function requests_of(method, file)
   local requests = {}
   for line in io.lines(file) do
      requests[#requests + 1] = wrk.format(method, nil, post(line, #requests))
   end
   return requests
end

-- The tokens of this thread.
local function tokens_of(file)
   local tokens = {}
   local line_number = 0
   for line in io.lines(file) do
      if line_number % THREADS == number then
         tokens[#tokens + 1] = line
      end
      line_number = line_number + 1
   end
   return tokens
end

local function refresh(file)
   local tokens = tokens_of(file)
   local first, last = 1, #tokens
   request = function()
      local token = tokens[first]
      tokens[first] = nil
      first = first + 1
      local body = "grant_type=refresh_token&client_id=opentrons_app&refresh_token=" .. token
      return wrk.format("POST", nil, post(body, first))
   end
   response = function(status, headers, body)
      last = last + 1
      tokens[last] = body:match('"refresh_token": ?"([^"]+)"')
   end
end

function init(args)
   if args[1] == nil then
      return
   end
   if args[1] == "refresh" then
      return refresh(args[2])
   end
   local requests = requests_of(args[1], args[2])
   local turn = 0
   request = function()
      turn = turn % #requests + 1
      return requests[turn]
   end
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "bytes": %d, "failed": %d, "p50": %.6f, "p99": %.6f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, failed,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
