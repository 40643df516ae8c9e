/**
 * Answers in the form of OpenAI's API, whole and in pieces of a stream.
 */
@NullMarked
package nibble.serve.format;

import org.jspecify.annotations.NullMarked;
