/** Well-formed bodies from the schemas of the protocol's tables, so that no message is forgotten that is added one day. */
import { asLogIndex, asTerm, encodeBatch, Traceparent } from '@conclave/protocol';
import type { Random } from '@conclave/simulator';
import type { z } from 'zod';

/** By field name: values that the sample must have. */
export type Fields = Readonly<Record<string, unknown>>;

/** The parts of a schema that are needed to walk it. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly items?: readonly z.ZodType[];
  readonly entries?: Readonly<Record<string, string>>;
  readonly values?: readonly unknown[];
  readonly format?: string;
  readonly in?: z.ZodType;
}

/** A body that the schema accepts. */
export function sample(schema: z.ZodType, random: Random, fields: Fields = {}): unknown {
  const definition = schema.def as unknown as Definition;
  const one = (inner: z.ZodType | undefined): unknown => {
    if (inner === undefined) throw new Error(`a schema of type ${definition.type} is not what it was`);
    return sample(inner, random, fields);
  };
  switch (definition.type) {
    case 'object':
      return sampleObject(definition.shape ?? {}, random, fields);
    case 'string':
      if (schema === Traceparent) return `00-${'5'.repeat(32)}-${'7'.repeat(16)}-01`;
      return definition.format === 'base64' ? Buffer.from(batch(random)).toString('base64') : `x${random.below(1e9)}`;
    case 'number':
      return 1 + random.below(3);
    case 'boolean':
      return random.below(2) === 1;
    case 'array':
      return Array.from({ length: 1 + random.below(2) }, () => one(definition.element));
    case 'tuple':
      return definition.items?.map(one);
    case 'union':
      return one(pick(definition.options ?? [], random));
    case 'literal':
      return pick(definition.values ?? [], random);
    case 'enum':
      return pick(Object.values(definition.entries ?? {}), random);
    case 'optional':
    case 'nullable':
      return one(definition.innerType);
    case 'pipe':
      return one(definition.in);
    case 'custom':
      return batch(random);
    default:
      throw new Error(`no sample of a schema of type ${definition.type}`);
  }
}

function sampleObject(shape: Readonly<Record<string, z.ZodType>>, random: Random, fields: Fields): object {
  const body: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(shape)) {
    body[name] = name in fields ? fields[name] : sample(inner, random, fields);
  }
  return body;
}

/** The only binary that messages have besides values. */
function batch(random: Random): Uint8Array {
  const payload = Uint8Array.from({ length: 1 + random.below(20) }, () => random.below(256));
  return encodeBatch('commands', asTerm(1), asLogIndex(1 + random.below(1000)), [payload]);
}

export function pick<T>(among: readonly T[], random: Random): T {
  if (among.length === 0) throw new Error('there is nothing to pick from');
  return among[random.below(among.length)] as T;
}
