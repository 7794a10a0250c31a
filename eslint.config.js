export { default } from "./languages/node/eslint.config.js";
