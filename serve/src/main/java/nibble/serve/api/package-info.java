/**
 * What clients send and get: requests read strictly from JSON, answers and errors in OpenAI's form. Knows no HTTP
 * server.
 */
@NullMarked
package nibble.serve.api;

import org.jspecify.annotations.NullMarked;
