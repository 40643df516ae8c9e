package nibble.jinja.python;

import java.util.function.Supplier;

/** Bounds what one rendering may use. A template is as hostile as the checkpoint that it comes with. */
public final class Budget {
    /** Evaluated nodes, items gone through, comparisons; and 16 characters of text looked at each. */
    private static final long MAX_STEPS = 4_000_000;

    /**
     * Characters of all texts, and 8 for an item of all lists, made in one rendering, whether or not they still live.
     */
    private static final long MAX_CHARACTERS = 128L << 20;

    private static final ScopedValue<Budget> CURRENT = ScopedValue.newInstance();

    private long steps = MAX_STEPS;
    private long characters = MAX_CHARACTERS;

    private Budget() {}

    /** Runs something with a whole budget of its own. */
    public static <T> T within(Supplier<T> task) {
        return ScopedValue.where(CURRENT, new Budget()).call(task::get);
    }

    /**
     * Takes a step.
     *
     * @throws PythonException of kind LIMIT when all steps are used
     */
    public static void step() {
        steps(1);
    }

    /**
     * Takes several steps.
     *
     * @throws PythonException of kind LIMIT when all steps are used
     */
    public static void steps(long count) {
        if (CURRENT.isBound()) {
            Budget budget = CURRENT.get();
            budget.steps -= count;
            if (budget.steps < 0) {
                throw new PythonException(PythonException.Kind.LIMIT, "takes more than " + MAX_STEPS + " steps");
            }
        }
    }

    /** Looks at, or makes, a text of this many characters. */
    static void look(long count) {
        steps(1 + count / 16);
    }

    /**
     * Takes characters.
     *
     * @throws PythonException of kind LIMIT when a text of this size would be too much
     */
    public static void characters(long count) {
        if (CURRENT.isBound()) {
            Budget budget = CURRENT.get();
            budget.characters -= count;
            if (budget.characters < 0 || count < 0) {
                throw new PythonException(
                        PythonException.Kind.LIMIT,
                        "makes texts and lists of more than " + MAX_CHARACTERS + " characters in all");
            }
            look(count);
        }
    }

    /** Takes a list of this many items. */
    public static void items(long count) {
        characters(count > Long.MAX_VALUE / 8 ? Long.MAX_VALUE : 8 * count);
    }
}
