/** Events, sets, counts and times in words: for the page, the command and the recordings. Nothing here does I/O or needs Node.js. */
export { catchupText, changeText, eventText, kindText, readOnlyText } from './event-text.js';
export { bothSets, bytesText, count, duration, longDuration, peerSet, stageNames } from './format.js';
