/**
 * The chat templates that a checkpoint brings: {@link nibble.convert.chat.ChatTemplates} finds them in all the places where
 * they are kept.
 */
@NullMarked
package nibble.convert.chat;

import org.jspecify.annotations.NullMarked;
