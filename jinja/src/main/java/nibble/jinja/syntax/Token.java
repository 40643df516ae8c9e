package nibble.jinja.syntax;

/**
 * Holds a piece of a template.
 *
 * @param kind what it is
 * @param text as it stands there; of strings, what they mean
 * @param value of numbers, their value; else the text
 * @param line its line, from 1
 */
public record Token(Kind kind, String text, Object value, int line) {
    /** Lists kinds of tokens. */
    public enum Kind {
        DATA,
        VARIABLE_BEGIN,
        VARIABLE_END,
        BLOCK_BEGIN,
        BLOCK_END,
        NAME,
        STRING,
        NUMBER_INT,
        NUMBER_FLOAT,
        OPERATOR,
        END
    }

    public boolean isName(String name) {
        return kind == Kind.NAME && text.equals(name);
    }

    boolean isOperator(String operator) {
        return kind == Kind.OPERATOR && text.equals(operator);
    }

    /** Shows it, for messages. */
    public String shown() {
        return switch (kind) {
            case DATA -> "text";
            case VARIABLE_BEGIN -> "{{";
            case VARIABLE_END -> "}}";
            case BLOCK_BEGIN -> "{%";
            case BLOCK_END -> "%}";
            case END -> "the end of the template";
            default -> text.length() > 40 ? text.substring(0, 40) + "…" : text;
        };
    }
}
