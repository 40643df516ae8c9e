package nibble.jinja.python;

import org.jspecify.annotations.Nullable;

/** Stands for a name without a value. It prints as nothing and is false and empty; most other uses are errors. */
public final class Undefined {
    private final String message;
    private final PythonException.Kind kind;
    private final boolean prints;

    private Undefined(String message, PythonException.Kind kind, boolean prints) {
        this.message = message;
        this.kind = kind;
        this.prints = prints;
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
        return new Undefined(message, PythonException.Kind.UNDEFINED, false);
    }

    /** Makes what {@code a if b} is where b is false: it prints as nothing, even where other undefined ones fail. */
    public static Undefined ofCondition() {
        return new Undefined(
                "the inline if-expression evaluated to false and no else section was defined",
                PythonException.Kind.UNDEFINED,
                true);
    }

    /** Returns whether it prints as nothing in a strict template too. */
    public boolean prints() {
        return prints;
    }

    /** An attribute that the sandbox keeps away. */
    static Undefined unsafe(Object owner, String name) {
        return new Undefined(
                "access to attribute " + Repr.quoted(name) + " of '" + Values.typeName(owner) + "' object is unsafe",
                PythonException.Kind.SECURITY,
                false);
    }

    private static String shortly(@Nullable Object name) {
        return name instanceof Number || name instanceof Boolean ? String.valueOf(name) : "of this key";
    }

    /** Returns the error that a use of it is. */
    public PythonException error() {
        return new PythonException(kind, message);
    }
}
