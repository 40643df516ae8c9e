package nibble.jinja;

import java.time.ZonedDateTime;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.Supplier;
import nibble.jinja.python.Budget;
import nibble.jinja.python.PythonException;
import nibble.jinja.syntax.JinjaException;
import nibble.jinja.syntax.Statement;

/**
 * Holds a template. It sees the values that it is rendered with and the functions of {@link Globals}, and nothing else:
 * no attribute leads to Java, a text is never taken for a template, there are no other templates to load.
 */
public final class Template {
    /** Longest template that is read, in characters. */
    private static final int MAX_LENGTH = 4 << 20;

    /** Room for the deepest template that is taken, whichever thread asks. */
    private static final long STACK_BYTES = 64L << 20;

    private final Statement.Body body;
    private final Dialect dialect;

    private Template(Statement.Body body, Dialect dialect) {
        this.body = body;
        this.dialect = dialect;
    }

    /**
     * Returns a template of transformers' settings: as chat templates are.
     *
     * @throws JinjaException if the text is no template
     */
    public static Template chat(String source) {
        return of(source, Dialect.CHAT);
    }

    /**
     * Returns the same with the tag {@code do}, and printing a name without a value is an error.
     *
     * @throws JinjaException if the text is no template
     */
    public static Template document(String source) {
        return of(source, Dialect.DOCUMENT);
    }

    /**
     * Returns a template of lm-evaluation-harness: white space around block tags stays, {@code regex_replace} is a
     * filter, and printing a name without a value is an error.
     *
     * @throws JinjaException if the text is no template
     */
    public static Template task(String source) {
        return of(source, Dialect.TASK);
    }

    private static Template of(String source, Dialect dialect) {
        if (source.length() > MAX_LENGTH) {
            throw new JinjaException(JinjaException.Reason.LIMIT, "longer than " + MAX_LENGTH + " characters");
        }
        return deep(dialect, () -> {
            Statement.Body body = Parser.parse(source, dialect);
            Analysis.complete(body);
            return new Template(body, dialect);
        });
    }

    /**
     * Renders it.
     *
     * @param values what the template sees: texts, numbers, booleans, lists, maps with text keys, and null for None
     * @param clock the time that {@code strftime_now} tells
     * @throws JinjaException if the template raises an exception, or would use too much
     */
    public String render(Map<String, ?> values, Supplier<ZonedDateTime> clock) {
        return deep(
                dialect,
                () -> Budget.within(() -> {
                    Scope context = new Scope(null);
                    Globals.all(clock).forEach(context::set);
                    JavaValues.dict(values)
                            .entries()
                            .forEach(entry -> context.set(entry.key().toString(), entry.value()));
                    Renderer renderer = new Renderer(new Scope(context, body), dialect.strict());
                    try {
                        return renderer.render(body);
                    } catch (PythonException e) {
                        throw failure(e, renderer.line());
                    }
                }));
    }

    private static JinjaException failure(PythonException e, int line) {
        return switch (e.kind()) {
            case RAISED -> new JinjaException(JinjaException.Reason.RAISED, String.valueOf(e.getMessage()));
            case LIMIT -> new JinjaException(JinjaException.Reason.LIMIT, "line " + line + ": " + e.getMessage());
            default ->
                new JinjaException(
                        JinjaException.Reason.ERROR,
                        "line " + line + ": " + e.kind().label() + ": " + e.getMessage());
        };
    }

    /** Does something where there is room for deep calls. */
    private static <T> T deep(Dialect dialect, Callable<T> task) {
        FutureTask<T> future = new FutureTask<>(
                () -> ScopedValue.where(Dialect.PRESENT, dialect).call(task::call));
        Thread thread = new Thread(null, future, "template", STACK_BYTES);
        thread.setDaemon(true);
        thread.start();
        try {
            return future.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new JinjaException(JinjaException.Reason.LIMIT, "interrupted");
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case JinjaException failure -> throw failure;
                case StackOverflowError deep ->
                    throw new JinjaException(JinjaException.Reason.LIMIT, "nested too deep");
                case RuntimeException failure -> throw failure;
                case Error error -> throw error;
                case null, default -> throw new IllegalStateException(e);
            }
        }
    }
}
