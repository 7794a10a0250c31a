// Uses the installed library: exits with 0 if the library reports that no server listens.

#include <samehost/diagnose.h>
#include <samehost/dial.h>
#include <samehost/listen.h>

int main() {
  try {
    samehost::Probe("/nowhere/server.sock");
  } catch (const samehost::NoServerError&) {
    return 0;
  }
  return 1;
}
