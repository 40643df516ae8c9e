package nibble.jinja.python;

/** Python's {@code None}. */
public enum None {
    NONE
}
