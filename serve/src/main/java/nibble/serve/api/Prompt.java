package nibble.serve.api;

/** Holds a prompt as the client gave it. */
public sealed interface Prompt {
    /** Holds a text, to be encoded. */
    record Text(String text) implements Prompt {}

    /** Holds ids of tokens; equal only to itself. */
    record Ids(int[] ids) implements Prompt {}
}
