export { connectWith, findServer, inboxOf, rejectionOf } from './connect.js';
export { inboxFault, isLiteralSubject } from './inbox.js';
export { defaultNatsUrl, NatsLogin } from './login.js';
export { LoginError, type LoginErrorCode } from './login-error.js';
export { mayBeContent } from './login-file.js';
export { type Violation, violationOf } from './permissions.js';
export { splitServers } from './server-url.js';
export {
  isWholeLogin,
  type LoginSetting,
  type LoginSettings,
  loginOptions,
  settingsFromEnvironment,
} from './settings.js';
