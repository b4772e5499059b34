/* Those of the template. */
#include "../../../../../sdk/templates/c/detector/bindings/detector.h"
