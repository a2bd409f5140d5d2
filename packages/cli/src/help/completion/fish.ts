/** Completion for fish. */
import type { OptionCandidate, Place } from './candidates.js';

/** Returns the script, for `completions/conclave.fish`. */
export function fishScript(places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `# fish completion of conclave; made by \`conclave completion fish\`

function __conclave_path
    set -l path
    set -l words (commandline -opc)
    for word in $words[2..-1]
        set -l candidate (string join -- ' ' $path $word)
        if contains -- $candidate ${paths.join(' ')}
            set path $candidate
        end
    end
    echo "$path"
end

function __conclave_at
    test (__conclave_path) = "$argv[1]"
end

complete -c conclave -f
${places.flatMap(lines).join('\n')}
`;
}

function lines(place: Place): string[] {
  const begin = `complete -c conclave -n ${quoted(`__conclave_at '${place.path}'`)}`;
  return [
    ...place.commands.map(({ word, meaning }) => `${begin} -a ${word} -d ${quoted(meaning)}`),
    ...(place.choices.length === 0 ? [] : [`${begin} -a ${quoted(place.choices.join(' '))}`]),
    ...(place.isFile ? [`${begin} -F`] : []),
    ...place.options.map((option) => `${begin} ${optionFlags(option)}`),
  ];
}

function optionFlags({ words, meaning, takesValue, choices, isFile }: OptionCandidate): string {
  const names = words.map((word) => (word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`));
  const value = isFile ? ['-r', '-F'] : choices.length > 0 ? ['-x', '-a', quoted(choices.join(' '))] : ['-x'];
  return [...names, ...(takesValue ? value : []), '-d', quoted(meaning)].join(' ');
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
