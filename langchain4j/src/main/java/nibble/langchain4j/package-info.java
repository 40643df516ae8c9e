/** LangChain4j's chat models over a model in the same process. */
@NullMarked
package nibble.langchain4j;

import org.jspecify.annotations.NullMarked;
