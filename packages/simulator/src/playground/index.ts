/** The playground of `conclave view`: a simulated group behind the page. */
export { Playground, type PlaygroundOptions, type Ticker } from './playground.js';
export type { Question, QuestionStep } from './question.js';
export { questions } from './questions/index.js';
