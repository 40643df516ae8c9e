package nibble.serve.http;

/** The client closed its connection, so nobody reads an answer. */
final class ClientGoneException extends RuntimeException {
    private static final long serialVersionUID = 1;

    ClientGoneException(Throwable cause) {
        super("the client has gone", cause);
    }

    ClientGoneException() {
        super("the client has gone");
    }
}
