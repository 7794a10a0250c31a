export { default } from "../node-common/eslint.config.js";
