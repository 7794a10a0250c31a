export { createClient, dial } from "./dial.js";
export { listen } from "./listen.js";
