# Completions of opentrons-auth-server for fish. The program itself says what fits.

function __opentrons_auth_server_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l lines ($words[1] complete -- $words[2..] "$typed" 2>/dev/null)
    set -l option (string match --regex -- '^--[^=]*=' "$typed")
    set -l path (string replace -- "$option" '' "$typed")
    switch "$lines[1]"
        case file
            printf '%s\n' "$option"(__fish_complete_path "$path")
        case directory
            printf '%s\n' "$option"(__fish_complete_directories "$path")
        case words
            printf '%s\n' $lines[2..]
    end
end

complete --command opentrons-auth-server --no-files --arguments '(__opentrons_auth_server_complete)'
