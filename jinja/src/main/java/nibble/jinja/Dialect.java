package nibble.jinja;

/** Lists the settings of Jinja2 that programs render templates with. */
enum Dialect {
    /** As transformers renders chat templates: white space around block tags is trimmed. */
    CHAT,
    /** The same with the tag {@code do}; printing a name without a value is an error. */
    DOCUMENT,
    /** As lm-evaluation-harness renders prompts: nothing is trimmed, with the filter {@code regex_replace}. */
    TASK;

    /** The dialect of the template that this thread reads or renders. */
    static final ScopedValue<Dialect> PRESENT = ScopedValue.newInstance();

    /** Says whether printing a name without a value is an error. */
    boolean strict() {
        return this != CHAT;
    }
}
