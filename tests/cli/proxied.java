import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;

/** As programs do that read http.proxyUser: Java's own client takes it from nowhere else. */
class Proxied {
  public static void main(String[] args) throws Exception {
    Authenticator.setDefault(new Authenticator() {
      @Override
      protected PasswordAuthentication getPasswordAuthentication() {
        String password = System.getProperty("https.proxyPassword");
        return new PasswordAuthentication(System.getProperty("https.proxyUser"), password.toCharArray());
      }
    });
    HttpURLConnection connection = (HttpURLConnection) URI.create(args[0]).toURL().openConnection();
    connection.setRequestProperty("Authorization", "Bearer <<$Auth.API_Key>>");
    System.out.write(connection.getInputStream().readAllBytes());
    System.out.flush();
  }
}
