-- What wrk sends, and what it says at its end.
--
--     wrk -s load.lua URL                     GET, always the same bytes
--     wrk -s load.lua URL -- METHOD FILE      each line of FILE as a body, in turn; an empty one is none
--
-- With a file no two requests are the same bytes, so that the client's work is alike in all cases.
-- The end is one line of JSON: requests, seconds, bytes read, failures, and quantiles in seconds.
local function requests_of(method, file)
   local requests = {}
   for line in io.lines(file) do
      local headers = {["User-Agent"] = string.format("wrk %06d", #requests)}
      local body = nil
      if line ~= "" then
         headers["Content-Type"] = "application/x-www-form-urlencoded"
         body = line
      end
      requests[#requests + 1] = wrk.format(method, nil, headers, body)
   end
   return requests
end

function init(args)
   if args[1] == nil then
      return
   end
   local requests = requests_of(args[1], args[2])
   local number = 0
   request = function()
      number = number % #requests + 1
      return requests[number]
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
