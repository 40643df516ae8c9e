package nibble.jinja.python;

/**
 * Holds a text that the {@code safe} filter marked: it stays one through Python's string methods, and what is joined to
 * it is escaped for HTML.
 *
 * @param text the text itself
 */
public record Markup(String text) {
    /** Escapes for HTML, unless it is marked already. */
    public static Markup escape(Object value) {
        if (value instanceof Markup marked) {
            return marked;
        }
        String text = Repr.str(value);
        StringBuilder out = new StringBuilder(text.length());
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '&' -> out.append("&amp;");
                case '<' -> out.append("&lt;");
                case '>' -> out.append("&gt;");
                case '"' -> out.append("&#34;");
                case '\'' -> out.append("&#39;");
                default -> out.append(c);
            }
        }
        Budget.characters(out.length());
        return new Markup(out.toString());
    }

    @Override
    public String toString() {
        return text;
    }
}
