package nibble.jinja.python;

/** Stands for Python's {@code None}. */
public enum None {
    NONE
}
