// A gRPC client on a Unix domain socket: node dist/client.js PATH NAME

import { credentials, Metadata } from "@grpc/grpc-js";

import { GreeterServiceClient } from "./gen/samehost/greeter/v1/greeter.js";

const [path, name = ""] = process.argv.slice(2);
// grpc-js sends "localhost" as :authority for unix: targets.
const greeter = new GreeterServiceClient(`unix:${path}`, credentials.createInsecure());
greeter.greet({ name }, new Metadata(), { deadline: Date.now() + 5000 }, (error, response) => {
  if (error) {
    throw error;
  }
  console.log(response.message);
  greeter.close();
});
