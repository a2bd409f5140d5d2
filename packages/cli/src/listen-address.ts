/** The address of an HTTP server, as options name it. */
import { InvalidArgumentError, Option } from 'commander';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** Returns an option with an address; `fallback`: its default. */
export function listenOption(flags: string, text: string, fallback?: string): Option {
  const option = new Option(flags, text).argParser(parseListenAddress);
  return fallback === undefined ? option : option.default(parseListenAddress(fallback), fallback);
}

/** Parses `<host>:<port>`; an IPv6 address is in brackets. */
export function parseListenAddress(text: string): ListenAddress {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(found?.[3]);
  if (found === null || port > 65_535) {
    throw new InvalidArgumentError('an address and a port are wanted: 127.0.0.1:9464, or [::1]:9464.');
  }
  return { host: (found[1] ?? found[2]) as string, port };
}
