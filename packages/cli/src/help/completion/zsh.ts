/** Completion for zsh. */
import { type Place, shellQuoted } from './candidates.js';

/** Returns the script, for a file `_conclave` of the `fpath`. */
export function zshScript(places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => shellQuoted(path));
  return `#compdef conclave
# zsh completion of conclave; made by \`conclave completion zsh\`

# Sets \`reply\` to the candidates after a path, each as \`word:meaning\`.
_conclave_offer() {
  reply=()
  case "$1" in
${places.map((place) => `    ${shellQuoted(place.path)}) reply=(${offered(place)}) ;;`).join('\n')}
  esac
}

# Sets \`REPLY\` to what may follow an option: \`file\`, the choices, \`any\`; nothing where it takes no value.
_conclave_value() {
  REPLY=''
  case "$1 $2" in
${places.flatMap(valueCases).join('\n')}
  esac
}

# Sets \`REPLY\` to the command that the words name.
_conclave_path() {
  local word candidate
  REPLY=''
  for word in "$@"; do
    candidate="\${REPLY:+$REPLY }$word"
    case "$candidate" in
      ${paths.join(' | ')}) REPLY=$candidate ;;
    esac
  done
}

_conclave() {
  local path_ REPLY
  local -a reply
  _conclave_path "\${(@)words[2,CURRENT-1]}"
  path_=$REPLY
  _conclave_value "$path_" "$words[CURRENT-1]"
  case "$REPLY" in
    '') ;;
    any) return ;;
    file) _files; return ;;
    *) reply=(\${=REPLY}); _describe value reply; return ;;
  esac
  _conclave_offer "$path_"
  _describe candidate reply
  case "$path_" in
    ${fileCases(places)}) _files ;;
  esac
}

# Loaded from the fpath this file is the function; with \`source\` it only defines it.
if [[ "$funcstack[1]" == _conclave ]]; then
  _conclave "$@"
elif (( $+functions[compdef] )); then
  compdef _conclave conclave
fi
`;
}

function offered({ commands, options, choices }: Place): string {
  const described = [
    ...commands,
    ...choices.map((word) => ({ word, meaning: '' })),
    ...options.flatMap(({ words, meaning }) => words.map((word) => ({ word, meaning }))),
  ];
  return described
    .map(({ word, meaning }) => shellQuoted(meaning === '' ? word : `${word}:${meaning.replaceAll(':', '\\:')}`))
    .join(' ');
}

function valueCases({ path, options }: Place): string[] {
  return options
    .filter(({ takesValue }) => takesValue)
    .map(({ words, choices, isFile }) => {
      const patterns = words.map((word) => shellQuoted(`${path} ${word}`)).join(' | ');
      return `    ${patterns}) REPLY=${shellQuoted(isFile ? 'file' : choices.length > 0 ? choices.join(' ') : 'any')} ;;`;
    });
}

function fileCases(places: readonly Place[]): string {
  return places
    .filter(({ isFile }) => isFile)
    .map(({ path }) => shellQuoted(path))
    .join(' | ');
}
