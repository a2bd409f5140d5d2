/** Inputs of cores in a line, for traces. */
export function describe(asked: unknown): string {
  const input = asked as { readonly type: string };
  if (input.type !== 'message') return `${input.type} ${describeFields({ ...input, type: undefined })}`;
  const { message } = input as unknown as { message: { name: string; body: object } };
  return `${message.name} ${describeFields(message.body)}`;
}

export function describeFields(fields: object | undefined): string {
  return fields === undefined ? '' : JSON.stringify(fields, shortened);
}

function shortened(key: string, value: unknown): unknown {
  if (key === 'group_id' || key === 'command' || key === 'rows') return undefined;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}
