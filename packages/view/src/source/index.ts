export type {
  ControlCommand,
  ControlParameter,
  ControlState,
  ControlValue,
  SourceControls,
  SourceInfo,
  SourceListener,
  ViewSource,
} from './view-source.js';
