import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;

/** Takes steps from stdin, a line of `name, url, key, file` with tabs between. */
public class Client {
    /** Longer bodies are told by their length alone. */
    static final int LONGEST = 65536;

    public static void main(String[] arguments) throws Exception {
        // With an Authenticator the client would drop the Authorization that it is given.
        String id = System.getenv("LOCUM_ID") + ":" + System.getenv("LOCUM_KEY");
        String who = "Basic " + Base64.getEncoder().encodeToString(id.getBytes(StandardCharsets.UTF_8));
        HttpClient client = HttpClient.newBuilder()
            .followRedirects(HttpClient.Redirect.NORMAL)
            .build();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null;) {
            String[] step = line.split("\t", -1);
            try {
                HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(step[1]))
                    .header("Authorization", System.getenv("AUTHORIZATION"));
                if (!step[2].isEmpty()) request.header("Locum-Authorization", "Bearer " + step[2]);
                else if (id.length() > 1) request.header("Proxy-Authorization", who);
                if (!step[3].isEmpty()) request.POST(BodyPublishers.ofFile(Path.of(step[3])));
                HttpResponse<String> answer = client.send(request.build(), BodyHandlers.ofString());
                // A refused tunnel's is kept from us.
                String body = answer.body() == null ? "" : answer.body();
                if (body.length() > LONGEST) body = body.length() + " bytes";
                say(step[0], "\"status\":" + answer.statusCode()
                    + ",\"echo\":" + json(answer.headers().firstValue("X-Echo").orElse(""))
                    + ",\"body\":" + json(body));
            } catch (Exception error) {
                say(step[0], "\"error\":" + json(error.toString()));
            }
        }
    }

    static void say(String name, String members) {
        System.out.println("{\"name\":" + json(name) + "," + members + "}");
    }

    static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < 0x20 || c > 0x7e) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }
}
