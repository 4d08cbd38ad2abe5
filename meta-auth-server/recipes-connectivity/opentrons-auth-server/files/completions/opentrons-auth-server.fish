# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_opentrons_auth_server_global_optspecs
	string join \n uds= uds-mode= host= p/port= log-level= persistence-directory= json workers= audit-server-uds= audit-server-url= h/help V/version
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

complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l uds -d 'Path of the Unix socket to listen on' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l uds-mode -d 'Permission bits of the --uds socket, in octal' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l host -d 'Host name or address of the TCP socket to listen on' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s p -l port -d 'Port of the TCP socket to listen on; 0 selects a free port, which is logged' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l log-level -d 'Minimum severity of the messages to log' -r -f -a "debug\t'Everything, including one line per request'
info\t'Startup, shutdown and other events of interest to operators'
warning\t'Conditions that need attention, and requests that failed with an internal error'
error\t'Failures that prevent the server from working'"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l workers -d 'Number of threads that serve requests, 1 to 64 [default: one per CPU, at most 4]' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l audit-server-uds -d 'Unix socket of the audit server to which audit events are sent' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l audit-server-url -d 'Base URL of the audit server to which audit events are sent; with --audit-server-uds, the base URL of the requests sent over that socket' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s V -l version -d 'Print version'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "completions" -d 'Print a shell completion script'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "man" -d 'Print the manual page in roff format'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "remote-access-allowed" -d 'Check whether remote access (ssh and notebooks) is allowed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "user" -d 'Manage user accounts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "session" -d 'List the sessions of users, or end them'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "settings" -d 'Show, change or reset the settings'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "access-control" -d 'Show, enable or disable access control'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "backup" -d 'Back up all accounts, settings and the audit log to a new file'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "restore" -d 'Replace all accounts and settings with those of a backup'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "import" -d 'Import the state of the Python server'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "audit" -d 'Verify or export the audit log, and manage its delivery'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand completions" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand completions" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand completions" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand man" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand man" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand man" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l uds -d 'Unix socket of the auth server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l override-file -d 'File whose existence allows remote access regardless of access control' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "add" -d 'Create a user, with a temporary password unless --password is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "show" -d 'Show everything that is known about a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "set" -d 'Change a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "reset-password" -d 'Set a new password and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "lock" -d 'Lock an account, and end the user\'s sessions'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "unlock" -d 'Unlock an account and clear its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add show set reset-password lock unlock delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -l long -d 'Also show the number of sessions, the creation and the last login, as far as the audit log tells'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l full-name -d 'Full name of the person' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l account-type -d 'Type of the account' -r -f -a "admin\t''
user\t''
auditor\t''
service\t''"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l password -d 'Prompt for the password, or read it from standard input if that is not a terminal'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from show" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from show" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l username -d 'New username' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l full-name -d 'New full name of the person' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l account-type -d 'New type of the account' -r -f -a "admin\t''
user\t''
auditor\t''
service\t''"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l require-new-password -d 'Require a new password from the user, and end the user\'s sessions'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l password -d 'Prompt for the password, or read it from standard input if that is not a terminal'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l password -d 'Prompt for the password, or read it from standard input if that is not a terminal'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from lock" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from lock" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from lock" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Create a user, with a temporary password unless --password is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show everything that is known about a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "reset-password" -d 'Set a new password and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "lock" -d 'Lock an account, and end the user\'s sessions'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "unlock" -d 'Unlock an account and clear its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -f -a "list" -d 'List the sessions that have not ended, with the time of the login or last refresh of each'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -f -a "end" -d 'End sessions: their tokens are refused from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and not __fish_seen_subcommand_from list end help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from list" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from list" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -l user -d 'End all sessions of this user' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -l all -d 'End all sessions of all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the sessions that have not ended, with the time of the login or last refresh of each'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "end" -d 'End sessions: their tokens are refused from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -f -a "show" -d 'Show the values of all settings, and which values each accepts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -f -a "set" -d 'Change settings'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -f -a "reset" -d 'Reset all settings to their defaults. Access control stays on or off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and not __fish_seen_subcommand_from show set reset help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from show" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from show" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from set" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from set" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from reset" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from reset" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from reset" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the values of all settings, and which values each accepts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change settings'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "reset" -d 'Reset all settings to their defaults. Access control stays on or off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "status" -d 'Show whether access control is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "enable" -d 'Turn access control on: protected requests need a token'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "disable" -d 'Turn access control off: anyone who can reach the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show whether access control is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Turn access control on: protected requests need a token'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Turn access control off: anyone who can reach the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l dry-run -d 'Show what would be imported and what prevents the import, without changing anything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l force -d 'Import whatever is valid and list what is skipped. Access control is turned on unless it was certainly off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l again -d 'Replace existing accounts and settings. Ends all sessions; keeps the audit log; leaves access control on if it is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l yes -d 'Do not ask for confirmation'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "verify" -d 'Verify that no row of the audit log was removed or changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "status" -d 'Show how many events are waiting for the audit server, and which ones it refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "resend" -d 'Resend the events that the audit server refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "export" -d 'Export the whole audit log to standard output'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l journal -d 'Also compare the rows with their lines in the system\'s journal, or with those in FILE; - is standard input' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l noted -d 'Also check that a row still has the hash that an earlier verification printed for it' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'Output format' -r -f -a "jsonl\t'One JSON object per line'
csv\t'Comma-separated values with a header line, as in RFC 4180'"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l persistence-directory -d 'Directory of the server\'s state. The server creates it if it does not exist; without this option, the server keeps its state in a temporary directory, which is removed when it stops, and commands use /var/lib/opentrons-auth-server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print the result of a command as JSON'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verify that no row of the audit log was removed or changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show how many events are waiting for the audit server, and which ones it refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "resend" -d 'Resend the events that the audit server refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Export the whole audit log to standard output'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "completions" -d 'Print a shell completion script'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "man" -d 'Print the manual page in roff format'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "remote-access-allowed" -d 'Check whether remote access (ssh and notebooks) is allowed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "user" -d 'Manage user accounts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "session" -d 'List the sessions of users, or end them'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "settings" -d 'Show, change or reset the settings'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "access-control" -d 'Show, enable or disable access control'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "backup" -d 'Back up all accounts, settings and the audit log to a new file'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "restore" -d 'Replace all accounts and settings with those of a backup'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "import" -d 'Import the state of the Python server'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "audit" -d 'Verify or export the audit log, and manage its delivery'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user session settings access-control backup restore import audit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Create a user, with a temporary password unless --password is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "show" -d 'Show everything that is known about a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "set" -d 'Change a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "reset-password" -d 'Set a new password and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "lock" -d 'Lock an account, and end the user\'s sessions'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "unlock" -d 'Unlock an account and clear its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "list" -d 'List the sessions that have not ended, with the time of the login or last refresh of each'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "end" -d 'End sessions: their tokens are refused from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from settings" -f -a "show" -d 'Show the values of all settings, and which values each accepts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from settings" -f -a "set" -d 'Change settings'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from settings" -f -a "reset" -d 'Reset all settings to their defaults. Access control stays on or off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "status" -d 'Show whether access control is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "enable" -d 'Turn access control on: protected requests need a token'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "disable" -d 'Turn access control off: anyone who can reach the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Verify that no row of the audit log was removed or changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "status" -d 'Show how many events are waiting for the audit server, and which ones it refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "resend" -d 'Resend the events that the audit server refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Export the whole audit log to standard output'
