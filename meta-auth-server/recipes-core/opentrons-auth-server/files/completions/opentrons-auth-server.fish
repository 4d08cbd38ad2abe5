# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_opentrons_auth_server_global_optspecs
	string join \n uds= uds-mode= host= p/port= log-level= persistence-directory= workers= h/help V/version
end

function __fish_opentrons_auth_server_needs_command
	# Figure out if the current invocation already has a command.
	set -l cmd (commandline -opc)
	set -e cmd[1]
	argparse -s (__fish_opentrons_auth_server_global_optspecs) -- $cmd 2>/dev/null
	or return
	if set -q argv[1]
		# Also print the command, so this can be used to figure out what it is.
		echo $argv[1]
		return 1
	end
	return 0
end

function __fish_opentrons_auth_server_using_subcommand
	set -l cmd (__fish_opentrons_auth_server_needs_command)
	test -z "$cmd"
	and return 1
	contains -- $cmd[1] $argv
end

complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l uds -d 'Listen on a Unix socket at this path' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l uds-mode -d 'Permission bits of the socket at --uds, in octal' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l host -d 'Listen on TCP at this address' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s p -l port -d 'Listen on TCP at this port; 0 takes any free port, and the log says which' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l log-level -d 'Least severe message to log' -r -f -a "debug\t'Everything, one line per request included'
info\t'Start, stop and what an operator wants to know'
warning\t'What needs attention, and requests that failed by our fault'
error\t'What stops the server from doing its work'"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l persistence-directory -d 'Folder that keeps the server\'s state. Made when missing. Without it the state lives in a temporary folder and is gone with the server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l workers -d 'Threads that answer requests, 1 to 64 [default: one per CPU, at most 4]' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s V -l version -d 'Print version'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "man" -d 'Print the manual page, in roff'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand completions" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand man" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man help" -f -a "man" -d 'Print the manual page, in roff'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
