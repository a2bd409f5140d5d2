export { eventRecord, messageFields, messageRecord, type SentMessage } from './message-record.js';
export { type Recording, readRecording } from './read-recording.js';
export {
  Condition,
  type EventRecord,
  type FaultRecord,
  type FieldValue,
  type KnownEventRecord,
  type LostRecord,
  type MessageRecord,
  type NoteRecord,
  type Place,
  PlaceActor,
  type RateRecord,
  RecordingHeader,
  recordVersion,
  type StatusRecord,
  ViewRecord,
} from './record.js';
export { RecordWriter, type RecordWriterOptions } from './record-writer.js';
