export type {
  ControlCommand,
  ControlParameter,
  ControlState,
  ControlValue,
  ExplainedStep,
  SourceControls,
  SourceInfo,
  SourceListener,
  ViewSource,
} from './view-source.js';
