/**
 * Conversations as the text that a model was trained on: built-in prompt formats and the checkpoint's own
 * {@code chat_template}.
 *
 * <p>All are Jinja templates, the built-in ones too; start at {@link nibble.datasets.chat.ChatTemplate}.
 */
@NullMarked
package nibble.datasets.chat;

import org.jspecify.annotations.NullMarked;
