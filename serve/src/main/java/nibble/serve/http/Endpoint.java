package nibble.serve.http;

/** Answers requests of one path and method. */
interface Endpoint {
    /**
     * Answers.
     *
     * @throws nibble.serve.api.ApiException to refuse
     */
    void answer(Exchange exchange) throws InterruptedException;
}
