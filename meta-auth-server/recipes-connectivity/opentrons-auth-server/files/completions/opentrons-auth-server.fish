# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_opentrons_auth_server_global_optspecs
	string join \n uds= uds-mode= host= p/port= log-level= persistence-directory= workers= audit-server-uds= audit-server-url= h/help V/version
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
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l persistence-directory -d 'Directory that keeps the server\'s state. Made when missing. Without it the state lives in a temporary directory and is gone with the server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l workers -d 'Threads that answer requests, 1 to 64 [default: one per CPU, at most 4]' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l audit-server-uds -d 'Send audit events to the audit server that listens on this Unix socket' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -l audit-server-url -d 'Send audit events to the audit server at this URL; with --audit-server-uds its base' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -s V -l version -d 'Print version'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "man" -d 'Print the manual page, in roff'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "remote-access-allowed" -d 'Tell by the exit code whether ssh and notebooks may be reached: 0 while access control is off or the override file is there, 1 while it is on or the server does not answer, 2 when the answer is not understood'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "user" -d 'Administer user accounts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "access-control" -d 'Tell whether access control is on, or turn it on or off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "backup" -d 'Copy all accounts, settings and the audit log to a new file, which is secret'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "restore" -d 'Put a backup\'s accounts and settings in the place of those there are. Every login ends. The audit log stays; an empty one becomes the backup\'s'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "import" -d 'Take over what the Python server left: accounts with their passwords, settings, and whether access control is on. Its files stay as they are. Without options all or nothing, and only where there are no accounts yet, as at the first start'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "audit" -d 'Check the audit log, or write it out'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand completions" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand man" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l uds -d 'Unix socket of the server' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -l override-file -d 'File that allows remote access whatever the server says, by being there' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand remote-access-allowed" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "add" -d 'Create a user, with a temporary password unless one is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "reset-password" -d 'Give a user a new temporary password, or the one that is given, and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "unlock" -d 'Unlock an account, and forget its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and not __fish_seen_subcommand_from list add reset-password unlock delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l full-name -d 'Full name of the person' -r
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l account-type -d 'Type of the account' -r -f -a "admin\t''
user\t''
auditor\t''
service\t''"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l password -d 'Ask for a password; from standard input when that is no terminal'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l password -d 'Ask for a password; from standard input when that is no terminal'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from reset-password" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from unlock" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l yes -d 'Do not ask'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Create a user, with a temporary password unless one is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "reset-password" -d 'Give a user a new temporary password, or the one that is given, and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "unlock" -d 'Unlock an account, and forget its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "status" -d 'Tell whether it is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "enable" -d 'Turn it on: protected requests need a token from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "disable" -d 'Turn it off: whoever reaches the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and not __fish_seen_subcommand_from status enable disable help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l yes -d 'Do not ask'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "status" -d 'Tell whether it is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Turn it on: protected requests need a token from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Turn it off: whoever reaches the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand access-control; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand backup" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l yes -d 'Do not ask'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand restore" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l dry-run -d 'Tell what would be taken over and what stands in the way, and change nothing'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l force -d 'Take over what can be, and list what cannot. Access control is on then unless it is certain that it was off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l again -d 'Replace the accounts and settings that there are. Every login ends; the audit log stays; access control stays on if it is'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l yes -d 'Do not ask'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand import" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "verify" -d 'Check that no row of the audit log is missing or was changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "status" -d 'Tell how many events wait for the audit server, and which it has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "resend" -d 'Send the events again that the audit server has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "export" -d 'Write the whole audit log to standard output'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and not __fish_seen_subcommand_from verify status resend export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l journal -d 'Compare with the lines that the journal has of the rows; with FILE, with those lines in it, - is standard input' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from resend" -s h -l help -d 'Print help'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'How' -r -f -a "jsonl\t'A JSON object a line'
csv\t'Comma-separated values with a header (RFC 4180)'"
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l persistence-directory -d 'Directory that keeps the server\'s state' -r -F
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print JSON, for programs'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check that no row of the audit log is missing or was changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "status" -d 'Tell how many events wait for the audit server, and which it has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "resend" -d 'Send the events again that the audit server has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the whole audit log to standard output'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "man" -d 'Print the manual page, in roff'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "remote-access-allowed" -d 'Tell by the exit code whether ssh and notebooks may be reached: 0 while access control is off or the override file is there, 1 while it is on or the server does not answer, 2 when the answer is not understood'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "user" -d 'Administer user accounts'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "access-control" -d 'Tell whether access control is on, or turn it on or off'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "backup" -d 'Copy all accounts, settings and the audit log to a new file, which is secret'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "restore" -d 'Put a backup\'s accounts and settings in the place of those there are. Every login ends. The audit log stays; an empty one becomes the backup\'s'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "import" -d 'Take over what the Python server left: accounts with their passwords, settings, and whether access control is on. Its files stay as they are. Without options all or nothing, and only where there are no accounts yet, as at the first start'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "audit" -d 'Check the audit log, or write it out'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and not __fish_seen_subcommand_from completions man remote-access-allowed user access-control backup restore import audit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List all users'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Create a user, with a temporary password unless one is given'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "reset-password" -d 'Give a user a new temporary password, or the one that is given, and unlock the account'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "unlock" -d 'Unlock an account, and forget its failed logins'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "delete" -d 'Delete a user'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "status" -d 'Tell whether it is on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "enable" -d 'Turn it on: protected requests need a token from then on'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from access-control" -f -a "disable" -d 'Turn it off: whoever reaches the robot may do everything'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Check that no row of the audit log is missing or was changed'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "status" -d 'Tell how many events wait for the audit server, and which it has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "resend" -d 'Send the events again that the audit server has refused'
complete -c opentrons-auth-server -n "__fish_opentrons_auth_server_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Write the whole audit log to standard output'
