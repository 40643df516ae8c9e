package nibble.jinja.python;

/** Runs something that templates can call. */
public interface PyCallable {
    /**
     * Calls it.
     *
     * @throws PythonException as Python would raise it
     */
    Object call(Arguments arguments);

    /**
     * Holds a function or method with a name.
     *
     * @param name for messages
     * @param body what it does
     */
    record Function(String name, PyCallable body) implements PyCallable {
        @Override
        public Object call(Arguments arguments) {
            return body.call(arguments);
        }
    }
}
