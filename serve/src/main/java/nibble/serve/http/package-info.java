/**
 * The HTTP server, Jetty, and its endpoints: limits, time limits, keys, origins, event streams.
 */
@NullMarked
package nibble.serve.http;

import org.jspecify.annotations.NullMarked;
