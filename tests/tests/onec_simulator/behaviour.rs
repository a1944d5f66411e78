//! Sessions, slowness, faults, and the silent traps of writing.

use super::*;

#[tokio::test]
async fn sessions_are_pooled_or_kept_by_clients() {
    let pool = Pool { size: 2, wait: Duration::from_millis(100), ..Pool::default() };
    let faults = Faults { slow_first_ms: 1, ..Faults::default() };
    let simulator = Simulator::start(Options { pool, faults, ..Options::default() }).await.unwrap();
    let client = Client::new(simulator.url(), simulator.node().to_string());
    for _ in 0..5 {
        client.json("?$format=json").await;
    }
    assert_eq!(simulator.sessions_opened(), 1, "one after the other share one session");
    simulator.set_faults(Faults { delay_ms: 600_000, ..Faults::default() });
    let three = ["", "", ""].map(|path| Box::pin(client.get(path)));
    let (first, _, _) = futures::future::select_all(three).await;
    assert_eq!(first.status, 406, "two have the sessions, the third finds none in time");

    let pool = Pool { mode: Mode::Use, size: 1, ..Pool::default() };
    let simulator = Simulator::start(Options { pool, ..Options::default() }).await.unwrap();
    let client = Client::new(simulator.url(), simulator.node().to_string());
    let started = client.with(&[("IBSession", "start")], "").await;
    let cookie = started.cookie.expect("a session's cookie");
    assert!(cookie.starts_with("ibsession="));
    assert_eq!(client.with(&[("IBSession", "start")], "").await.status, 406);
    assert_eq!(client.with(&[("Cookie", &cookie)], "").await.status, 200);
    assert_eq!(client.with(&[("Cookie", &cookie), ("IBSession", "finish")], "").await.status, 200);
    assert_eq!(client.with(&[("Cookie", &cookie)], "").await.status, 400);
}

#[tokio::test]
async fn the_first_answer_of_a_session_is_slow_and_counts_ignore_pages() {
    let slow = Faults { slow_first_ms: 600_000, ..Faults::default() };
    let (simulator, client) = started().await;
    client.json("?$format=json").await;
    simulator.set_faults(slow.clone());
    client.json("?$format=json").await;
    assert_eq!(simulator.sessions_opened(), 1, "the session that is there answers at once");
    // Too old to be used again as soon as it is free.
    let pool = Pool { age: Duration::ZERO, ..Pool::default() };
    let aged = Simulator::start(Options { pool, ..Options::default() }).await.unwrap();
    let fresh = Client::new(aged.url(), aged.node().to_string());
    for opened in 1..=3 {
        fresh.json("?$format=json").await;
        assert_eq!(aged.sessions_opened(), opened);
    }
    aged.set_faults(slow);
    assert!(tokio::time::timeout(Duration::from_millis(300), fresh.get("?$format=json")).await.is_err());

    let path = format!("{ORDERS}?$format=json&$top=2&$inlinecount=allpages");
    for (count_ignores_paging, expected) in [(false, 2), (true, 100)] {
        simulator.set_faults(Faults { count_ignores_paging, ..Faults::default() });
        let page = client.json(&path).await;
        assert_eq!((page["value"].as_array().unwrap().len(), &page["odata.count"]), (expected, &json!("100")));
    }
}

#[tokio::test]
async fn faults_are_switched() {
    let (simulator, client) = started().await;
    let path = format!("{PRODUCTS}?$format=json");
    let with = async |faults: Faults| {
        simulator.set_faults(faults);
        client.get(&path).await
    };
    let bom = with(Faults { bom: true, ..Faults::default() }).await;
    assert!(bom.text.starts_with("\u{feff}{"));
    let label = with(Faults { charset_1251: true, ..Faults::default() }).await;
    assert!(label.kind.contains("windows-1251") && label.text.contains("Номенклатура"));
    let full = with(Faults { disk_full_above: Some(100), ..Faults::default() }).await;
    assert!(full.status == 500 && full.text.contains("The device is full"));
    let locked = with(Faults { maintenance: true, ..Faults::default() }).await;
    assert!(locked.status == 403 && locked.text.contains("Начало сеанса с информационной базой запрещено"));
    let licence = with(Faults { no_licence: Some(500), ..Faults::default() }).await;
    assert_eq!((licence.status, &*licence.text), (500, "Не обнаружено свободной лицензии!"));
    let gateway = with(Faults { gateway: true, ..Faults::default() }).await;
    assert!(gateway.status == 502 && gateway.text.contains("Proxy Error"));
    let login = with(Faults { login_page: true, ..Faults::default() }).await;
    assert!(login.status == 200 && login.kind.starts_with("text/html"));
    simulator.set_faults(Faults { xml_errors: true, ..Faults::default() });
    assert!(client.get("Catalog_Нет?$format=json").await.text.starts_with("<m:error"));
    simulator.set_faults(Faults { cut_after: Some(50), ..Faults::default() });
    assert!(client.try_get(&path).await.is_err(), "the body ends without an end");
    let orders = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/faults", simulator.admin_url());
    let put = orders.put(&url).body("{\"gateway\": true, \"times\": 1}").send().await.unwrap();
    assert_eq!(put.status(), 200);
    assert_eq!(client.get(&path).await.status, 502);
    assert_eq!(client.get(&path).await.status, 200, "one time only");
}

#[tokio::test]
async fn writes_have_their_silent_traps() {
    use reqwest::Method;
    let (simulator, client) = started().await;
    let send = async |method: Method, path: String, body: serde_json::Value| {
        let got = client.send(method, &format!("{path}?$format=json"), Some(body)).await;
        (got.status, serde_json::from_str::<serde_json::Value>(&got.text).unwrap_or_default())
    };
    let wanted = "41aa6331-954f-11e3-814b-005056c00008";
    let body = json!({ "Ref_Key": wanted, "Нет": 1, "Description": "и".repeat(101), "Коэффициент": "много" });
    let (status, made) = send(Method::POST, PRODUCTS.into(), body).await;
    assert_eq!(status, 201);
    assert_ne!(made["Ref_Key"], wanted, "1C gives references itself");
    assert_eq!(made["Description"].as_str().unwrap().chars().count(), 100, "cut");
    assert_eq!(made["Коэффициент"], "0", "ignored");
    let product = format!("{PRODUCTS}(guid'{}')", made["Ref_Key"].as_str().unwrap());

    let order = client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0].clone();
    let key = format!("{ORDERS}(guid'{}')", order["Ref_Key"].as_str().unwrap());
    for (numbers, expected) in [(vec![1, 2], 200), (vec![2, 3], 400), (vec![1, 3], 500), (vec![1, 0], 500)] {
        let lines: Vec<_> = numbers.iter().map(|number| json!({ "LineNumber": number })).collect();
        assert_eq!(send(Method::PATCH, key.clone(), json!({ "Товары": lines })).await.0, expected, "{numbers:?}");
    }

    let prices = "InformationRegister_ЦеныНоменклатуры";
    let price = client.json(&format!("{prices}?$format=json&$top=1")).await["value"][0].clone();
    let (status, refused) = send(Method::POST, prices.into(), price.clone()).await;
    assert_eq!((status, &refused["odata.error"]["code"]), (400, &json!("15")));
    let names =
        ["Номенклатура_Key", "ВидЦены_Key"].map(|name| format!("{name}=guid'{}'", price[name].as_str().unwrap()));
    let record = format!("{prices}(Period=datetime'{}',{})", price["Period"].as_str().unwrap(), names.join(","));
    assert_eq!(send(Method::PATCH, record.clone(), json!({ "Цена": 5 })).await.0, 200);
    assert_eq!(send(Method::PATCH, record, json!({ "Period": "2026-05-05T00:00:00" })).await.0, 404);

    // A posted document is not marked; undoing the posting twice is no mistake, and a new version each time.
    let mark = json!({ "DeletionMark": true });
    assert_eq!(send(Method::PATCH, key.clone(), mark.clone()).await.0, 500);
    let mut versions = vec![order["DataVersion"].clone()];
    for _ in 0..2 {
        assert_eq!(client.send(Method::POST, &format!("{key}/Unpost"), None).await.status, 200);
        versions.push(client.json(&format!("{key}?$format=json")).await["DataVersion"].clone());
    }
    assert!(versions[0] != versions[1] && versions[1] != versions[2], "{versions:?}");
    assert_eq!(send(Method::PATCH, key.clone(), mark).await.0, 200);
    assert_eq!(client.send(Method::POST, &format!("{key}/Post"), None).await.status, 500, "marked");
    assert_eq!(send(Method::PATCH, key.clone(), json!({ "DeletionMark": false })).await.0, 200);
    let posted = async || client.json(&format!("{key}?$format=json")).await["Posted"].clone();
    simulator.set_faults(Faults { get_is_safe: true, ..Faults::default() });
    assert_eq!((client.status(&format!("{key}/Post")).await, posted().await), (405, json!(false)));
    simulator.set_faults(Faults::default());
    assert_eq!((client.status(&format!("{key}/Post")).await, posted().await), (200, json!(true)), "a GET executes it");

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let patch = async |header: (&str, &str), path: &str| {
        let url = format!("{}/{}", simulator.url(), encode(path));
        http.patch(url).header(header.0, header.1).body("{}").send().await.unwrap().status().as_u16()
    };
    assert_eq!(patch(("If-Match", "W/\"AAAA\""), &product).await, 200, "mostly ignored");
    simulator.set_faults(Faults { if_match: true, ..Faults::default() });
    assert_eq!(patch(("If-Match", "W/\"AAAA\""), &product).await, 412);
    simulator.set_faults(Faults::default());
    let constant = "Constant_ИспользоватьСкидки(guid'00000000-0000-0000-0000-000000000000')";
    assert_eq!(send(Method::PATCH, constant.into(), json!({ "Value": false })).await.0, 200);
    assert_eq!(patch(("1C_OData-DataLoadMode", "true"), constant).await, 400, "code 17");
    assert_eq!(client.send(Method::DELETE, &product, None).await.status, 204);
    assert_eq!(client.status(&product).await, 404, "for good");
}
