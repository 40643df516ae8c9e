package nibble.jinja.python;

import org.jspecify.annotations.Nullable;

/** Stands for a name without a value. It prints as nothing and is false and empty; most other uses are errors. */
public final class Undefined {
    private final String message;
    private final PythonException.Kind kind;

    private Undefined(String message, PythonException.Kind kind) {
        this.message = message;
        this.kind = kind;
    }

    /** Returns a variable that was not given. */
    public static Undefined name(String name) {
        return because("'" + name + "' is undefined");
    }

    /** An item or attribute that something does not have. */
    static Undefined of(Object owner, Object name) {
        String what = name instanceof String text ? "attribute " + Repr.quoted(text) : "element " + shortly(name);
        return because("'" + Values.typeName(owner) + " object' has no " + what);
    }

    /** Makes something that is not there for a reason of its own. */
    public static Undefined because(String message) {
        return new Undefined(message, PythonException.Kind.UNDEFINED);
    }

    /** An attribute that the sandbox keeps away. */
    static Undefined unsafe(Object owner, String name) {
        return new Undefined(
                "access to attribute " + Repr.quoted(name) + " of '" + Values.typeName(owner) + "' object is unsafe",
                PythonException.Kind.SECURITY);
    }

    private static String shortly(@Nullable Object name) {
        return name instanceof Number || name instanceof Boolean ? String.valueOf(name) : "of this key";
    }

    /** Returns the error that a use of it is. */
    public PythonException error() {
        return new PythonException(kind, message);
    }
}
