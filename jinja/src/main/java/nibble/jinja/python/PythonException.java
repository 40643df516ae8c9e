package nibble.jinja.python;

/** Reports an error as Python or Jinja2 raises it. Its kind decides who catches it, as the class does there. */
public final class PythonException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Lists the classes of errors that are told apart. */
    public enum Kind {
        TYPE("TypeError"),
        VALUE("ValueError"),
        KEY("KeyError"),
        INDEX("IndexError"),
        ATTRIBUTE("AttributeError"),
        ZERO_DIVISION("ZeroDivisionError"),
        OVERFLOW("OverflowError"),
        ASSERTION("AssertionError"),
        UNDEFINED("UndefinedError"),
        SECURITY("SecurityError"),
        RUNTIME("TemplateRuntimeError"),
        /** What {@code raise_exception} was called with. */
        RAISED("TemplateError"),
        /** A bound of this implementation. */
        LIMIT("limit");

        private final String label;

        Kind(String label) {
            this.label = label;
        }

        /** Returns the name of Python's class. */
        public String label() {
            return label;
        }
    }

    private final Kind kind;

    public PythonException(Kind kind, String message) {
        super(message, null, false, false);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }

    /** Returns Python's LookupError. */
    public boolean isLookup() {
        return kind == Kind.KEY || kind == Kind.INDEX;
    }

    static PythonException type(String message) {
        return new PythonException(Kind.TYPE, message);
    }

    static PythonException value(String message) {
        return new PythonException(Kind.VALUE, message);
    }
}
