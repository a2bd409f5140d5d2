/** The report of the NATS server that nobody is subscribed to what was published with a reply subject. */
import type { Msg } from 'nats';

const noResponders = 503;

export function isNoResponders({ data, headers }: Pick<Msg, 'data' | 'headers'>): boolean {
  return data.length === 0 && headers?.code === noResponders;
}
