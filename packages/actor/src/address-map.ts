/** A map by group, peer, and the name of an actor or a message. An access makes no string. */
export class AddressMap<Value> {
  private readonly groups = new Map<string, Map<string, Map<string, Value>>>();

  get(groupId: string, peerId: string, name: string): Value | undefined {
    return this.groups.get(groupId)?.get(peerId)?.get(name);
  }

  set(groupId: string, peerId: string, name: string, value: Value): void {
    const peers = this.groups.get(groupId) ?? new Map<string, Map<string, Value>>();
    this.groups.set(groupId, peers);
    const names = peers.get(peerId) ?? new Map<string, Value>();
    peers.set(peerId, names);
    names.set(name, value);
  }

  delete(groupId: string, peerId: string, name: string): void {
    const peers = this.groups.get(groupId);
    const names = peers?.get(peerId);
    names?.delete(name);
    if (names?.size === 0) peers?.delete(peerId);
    if (peers?.size === 0) this.groups.delete(groupId);
  }

  clear(): void {
    this.groups.clear();
  }
}
