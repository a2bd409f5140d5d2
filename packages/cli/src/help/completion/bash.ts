/** Completion for bash. */
import { type Place, shellQuoted } from './candidates.js';

/** Returns the script, for `completions/conclave` or `source`. It needs only bash 4. */
export function bashScript(places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => shellQuoted(path));
  return `# bash completion of conclave; made by \`conclave completion bash\`

_conclave_offer() {
  case "$1" in
${places.map((place) => `    ${shellQuoted(place.path)}) echo ${shellQuoted(offered(place))} ;;`).join('\n')}
  esac
}

# What may follow an option: \`file\`, the choices, \`any\`; nothing where it takes no value.
_conclave_value() {
  case "$1 $2" in
${places.flatMap(valueCases).join('\n')}
  esac
}

_conclave() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local path='' candidate word values at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    candidate="\${path:+$path }$word"
    case "$candidate" in
      ${paths.join(' | ')}) path=$candidate ;;
    esac
  done
  values=$(_conclave_value "$path" "$previous")
  case "$values" in
    '') ;;
    any) return ;;
    file) COMPREPLY=($(compgen -f -- "$current")); return ;;
    *) COMPREPLY=($(compgen -W "$values" -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$(_conclave_offer "$path")" -- "$current"))
  case "$path" in
    ${fileCases(places)}) [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}

complete -o filenames -F _conclave conclave
`;
}

function offered({ commands, options, choices }: Place): string {
  return [...commands.map(({ word }) => word), ...choices, ...options.flatMap(({ words }) => words)].join(' ');
}

function valueCases({ path, options }: Place): string[] {
  return options
    .filter(({ takesValue }) => takesValue)
    .map(({ words, choices, isFile }) => {
      const patterns = words.map((word) => shellQuoted(`${path} ${word}`)).join(' | ');
      return `    ${patterns}) echo ${shellQuoted(isFile ? 'file' : choices.length > 0 ? choices.join(' ') : 'any')} ;;`;
    });
}

function fileCases(places: readonly Place[]): string {
  return places
    .filter(({ isFile }) => isFile)
    .map(({ path }) => shellQuoted(path))
    .join(' | ');
}
