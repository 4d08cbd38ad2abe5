# Completions of opentrons-auth-server for bash. The program itself says what fits.

_opentrons-auth-server() {
    local -a words lines
    local word typed
    # Bash also divides words at the characters in COMP_WORDBREAKS, such as =.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ $COMP_WORDBREAKS == *=* && ${#words[@]} -gt 0 ]] &&
            [[ $word == = || ${words[-1]} == *= ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    typed=${words[-1]}
    mapfile -t lines < <("$1" complete -- "${words[@]}" 2>/dev/null)
    COMPREPLY=()
    case ${lines[0]} in
    file) compopt -o default ;;
    directory) compopt -o dirnames ;;
    words)
        for word in "${lines[@]:1}"; do
            word=${word%%$'\t'*}
            [[ $word != *= ]] || compopt -o nospace
            # Bash replaces only what is after the last =.
            [[ $COMP_WORDBREAKS != *=* || $typed != *=* ]] || word=${word#"${typed%=*}="}
            COMPREPLY+=("$(printf %q "$word")")
        done
        ;;
    esac
}

complete -o nosort -F _opentrons-auth-server opentrons-auth-server
