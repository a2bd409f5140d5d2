/** Formats inputs and fields for the trace of a run. */

/** Returns an input of a core as the trace shows it. */
export function inputText(unparsed: unknown): string {
  const input = unparsed as { readonly type: string };
  if (input.type !== 'message') return `${input.type} ${fieldsText({ ...input, type: undefined })}`;
  const { message } = input as unknown as { message: { name: string; body: object } };
  return `${message.name} ${fieldsText(message.body)}`;
}

export function fieldsText(fields: object | undefined): string {
  return fields === undefined ? '' : JSON.stringify(fields, shortened);
}

function shortened(key: string, value: unknown): unknown {
  if (key === 'group_id' || key === 'command' || key === 'rows') return undefined;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}
