//! The simulator of 1C has 1C's form: bytes, traps, change tables, sessions, faults.

use bus_simulator::{Faults, Mode, Options, Pool, Simulator};
use bus_tests::onec::{Client, encode};
use serde_json::{Value, json};
use std::time::Duration;

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(Options::default()).await.expect("a free port");
    let client = Client::new(simulator.url(), simulator.node().to_string());
    (simulator, client)
}

const ORDERS: &str = "Document_ЗаказКлиента";
const PRODUCTS: &str = "Catalog_Номенклатура";

#[tokio::test]
async fn metadata_and_the_root_name_the_same_sets() {
    let (_simulator, client) = started().await;
    let metadata = client.text("$metadata").await;
    assert!(metadata.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<edmx:Edmx "));
    assert_eq!(metadata.matches('\n').count(), metadata.matches("\r\n").count(), "every line ends in CRLF");
    let root = client.json("?$format=json").await;
    for set in root["value"].as_array().unwrap() {
        let name = set["name"].as_str().unwrap();
        assert!(metadata.contains(&format!("<EntitySet Name=\"{name}\"\r\n")), "{name}");
        assert_eq!(client.status(&format!("{name}?$format=json&$top=1")).await, 200, "{name}");
    }
    assert!(!metadata.contains("SelectChanges"));
    let empty = client.text("").await;
    assert!(empty.contains("<atom:title>Default</atom:title><collection href=\"Catalog_Номенклатура\">"));
}

#[tokio::test]
async fn json_has_its_line_ends_strings_and_links() {
    let (simulator, client) = started().await;
    let text = client.text(&format!("{ORDERS}?$format=json&$top=1")).await;
    let root = simulator.url();
    assert!(
        text.starts_with(&format!(
            "{{\n\"odata.metadata\": \"{root}/$metadata#{ORDERS}\",\n\"value\": [{{\n\"Ref_Key\""
        ))
    );
    for literal in [
        "\"LineNumber\": \"1\"",
        "\"СуммаНДС\": 3333.33",
        "\"ЖелаемаяДатаОтгрузки\": \"0001-01-01T00:00:00\"",
        "\"ДокументОснование_Type\": \"StandardODATA.Undefined\"",
        "\"Автор_Type\": \"UnavailableEntities.UnavailableEntity_",
        "\"Контрагент@navigationLinkUrl\": \"Document_ЗаказКлиента(guid'",
    ] {
        assert!(text.contains(literal), "{literal}\n{text}");
    }
    let product = client.text(&format!("{PRODUCTS}?$format=json&$top=1&$filter=Code eq '00-00000004'")).await;
    for literal in [
        "\"ШтрихКод\": \"                    \"",
        "\"Коэффициент\": \"27021597764222979\"",
        "\"ЕдиницаИзмерения_Key\": \"65646900-",
        "\"Производитель_Key\": \"00000000-0000-0000-0000-000000000000\"",
        "\"ДополнительныеРеквизиты\": []",
    ] {
        assert!(product.contains(literal), "{literal}\n{product}");
    }
    for absent in ["ЕдиницаИзмерения@", "Производитель@"] {
        assert!(!product.contains(absent), "no link to what is not published or not set: {absent}");
    }
    let folder = client.text(&format!("{PRODUCTS}?$format=json&$top=1&$filter=IsFolder eq true")).await;
    assert!(folder.contains("\"Артикул\": null"), "{folder}");
}

#[tokio::test]
async fn lines_repeat_their_owner_in_lists_only() {
    let (_simulator, client) = started().await;
    let list = client.json(&format!("{ORDERS}?$format=json&$top=1")).await;
    let order = &list["value"][0];
    let key = order["Ref_Key"].as_str().unwrap();
    assert_eq!(order["Товары"][0]["Ref_Key"], key);
    let one = client.json(&format!("{ORDERS}(guid'{key}')?$format=json")).await;
    assert!(one["odata.metadata"].as_str().unwrap().ends_with("/$metadata#Document_ЗаказКлиента/@Element"));
    assert_eq!(one["Товары"][0].get("Ref_Key"), None);
    assert_eq!(one["Товары"][0]["Сумма"], order["Товары"][0]["Сумма"]);
    let lines = client.json(&format!("{ORDERS}_Товары?$format=json&$top=1")).await;
    assert_eq!(lines["value"][0]["Ref_Key"], key);
    let through = client.json(&format!("{ORDERS}(guid'{key}')/Контрагент/ИНН?$format=json")).await;
    assert!(through["value"].as_str().unwrap().starts_with("77"), "{through}");
}

#[tokio::test]
async fn atom_has_crlf_around_entries_and_lf_inside() {
    let (_simulator, client) = started().await;
    let text = client.text(&format!("{ORDERS}?$top=2&$inlinecount=allpages")).await;
    assert!(text.starts_with("<feed xmlns=\"http://www.w3.org/2005/Atom\"\r\n\t\txmlns:at="), "no declaration");
    assert!(text.contains("\t<entry>\r\n\t\t<id>http://"));
    assert!(text.contains("\t<d:СуммаДокумента>20000</d:СуммаДокумента>\n\t<d:"));
    assert!(text.contains("\n\t\t\t<d:LineNumber>1</d:LineNumber>\n"));
    assert!(text.contains("\t<d:Комментарий/>\n"));
    assert!(text.contains("&lt;Адрес xmlns=\"http://www.v8.1c.ru/ssl/contactinfo\""));
    assert!(text.ends_with("\t<m:count>100</m:count>\r\n</feed>"));
    let (head, properties) = text.split_once("<m:properties").unwrap();
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    let (properties, _) = properties.split_once("</m:properties>").unwrap();
    assert!(!properties.contains('\r'));
    let folder = client.text(&format!("{PRODUCTS}?$top=1&$filter=IsFolder eq true")).await;
    assert!(folder.contains("<d:Артикул m:null=\"true\"/>"), "{folder}");
}

#[tokio::test]
async fn what_is_wrong_has_1cs_code_in_the_form_that_was_asked_for() {
    let (_simulator, client) = started().await;
    let nobody = "guid'c3314aea-6899-11e8-8780-b06ebf2faaf6'";
    for (path, status, code) in [
        ("Catalog_Нет", 404, "8"),
        (&*format!("{PRODUCTS}({nobody})"), 404, "9"),
        (&*format!("{PRODUCTS}?$filter=Нет eq 1"), 400, "6"),
        (&*format!("{PRODUCTS}?$filter=Code eq"), 400, "14"),
        (&*format!("{PRODUCTS}?$expan=Parent"), 400, "0"),
        (&*format!("{PRODUCTS}?$filter=tolower(Code) eq 'a'"), 400, "21"),
        (&*format!("{PRODUCTS}?$filter=Ref_Key gt {nobody}"), 500, "-1"),
        (&*format!("{ORDERS}?$filter=Комментарий eq ''"), 500, "-1"),
        ("InformationRegister_СостоянияЗаказов/SliceLast()", 404, "11"),
        ("$batch", 501, "0"),
    ] {
        let xml = client.get(path).await;
        assert_eq!(xml.status, status, "{path}");
        assert!(xml.text.contains(&format!("<m:code>{code}</m:code>")), "{path} {}", xml.text);
        let with = if path.contains('?') { "&" } else { "?" };
        let json = client.json(&format!("{path}{with}$format=json")).await;
        assert_eq!(json["odata.error"]["code"], code, "{path}");
    }
    let plus = client.raw(&format!("{}?$filter=Code+eq+'1'", encode(PRODUCTS))).await;
    assert_eq!(plus.status, 400);
}

#[tokio::test]
async fn filters_orders_and_pages() {
    let (_simulator, client) = started().await;
    let count = async |filter: &str| {
        let text = client.text(&format!("{ORDERS}/$count?$filter={filter}")).await;
        text.strip_prefix('\u{feff}').expect("a byte order mark").parse::<usize>().unwrap()
    };
    assert_eq!(count("Posted eq true").await + count("not (Posted eq true)").await, 100);
    assert_eq!(count("Date ge datetime'2026-01-01T00:10:00' and Date lt datetime'2026-01-01T00:20:00'").await, 10);
    assert_eq!(count("startswith(Number,'УТ-00000') and year(Date) eq 2026").await, 9);
    assert_eq!(count("substringof('0010', Number)").await, 2, "000010 and 000100");
    assert!(count("Товары/any(d: d/Количество mul 2 gt 20)").await > 0);
    let first = client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0].clone();
    let partner = first["Контрагент_Key"].as_str().unwrap();
    assert!(count(&format!("Контрагент_Key eq guid'{partner}'")).await > 0);
    let based = "ДокументОснование ne null";
    let base = client
        .json(&format!("{ORDERS}?$format=json&$filter={based} and isof(ДокументОснование,'Document_ЗаказКлиента')"))
        .await;
    let base = base["value"][0]["ДокументОснование"].as_str().unwrap();
    assert_eq!(count(&format!("ДокументОснование eq guid'{base}'")).await, 0, "silently nothing");
    assert_eq!(count(&format!("ДокументОснование eq cast(guid'{base}','Document_ЗаказКлиента')")).await, 1);

    let mut pages = Vec::new();
    for skip in (0..).step_by(30) {
        let page = client
            .json(&format!("{PRODUCTS}?$format=json&$orderby=Ref_Key&$top=30&$skip={skip}&$select=Ref_Key,Description"))
            .await;
        let page = page["value"].as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    let names: Vec<&str> = pages.iter().map(|item| item["Description"].as_str().unwrap()).collect();
    let references: Vec<&str> = pages.iter().map(|item| item["Ref_Key"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 62);
    assert!(names.is_sorted(), "ordered by what people see");
    assert!(!references.is_sorted());
    let expanded = client
        .json(&format!("{ORDERS}?$format=json&$top=1&$expand=Контрагент&$select=Number,Контрагент____Presentation"))
        .await;
    let order = &expanded["value"][0];
    assert_eq!(order["Контрагент"]["Description"], order["Контрагент____Presentation"]);
    assert_eq!(order.get("Товары"), None);
}

#[tokio::test]
async fn virtual_tables_count() {
    let (simulator, client) = started().await;
    let stock = "AccumulationRegister_ТоварыНаСкладах";
    let all = client.json(&format!("{stock}/BalanceAndTurnovers(Dimensions='Склад')?$format=json")).await;
    let number = |value: &serde_json::Value| value.to_string().parse::<f64>().unwrap();
    let mut sum = 0.0;
    for row in all["value"].as_array().unwrap() {
        sum += number(&row["ВНаличииReceipt"]) - number(&row["ВНаличииExpense"]);
        assert_eq!(number(&row["ВНаличииTurnover"]), number(&row["ВНаличииClosingBalance"]));
    }
    let balance = client.json(&format!("{stock}/Balance()?$format=json")).await;
    let balance = balance["value"].as_array().unwrap().clone();
    let total: f64 = balance.iter().map(|row| number(&row["ВНаличииBalance"])).sum();
    assert!((total - sum).abs() < 1e-6, "{total} {sum}");
    let product = balance[0]["Номенклатура_Key"].as_str().unwrap();
    let filtered = [
        format!("{stock}/Balance(Condition='Номенклатура_Key eq guid'{product}'')?$format=json"),
        format!("{stock}/Balance()?$format=json&Condition='Номенклатура_Key eq guid''{product}'''"),
        format!("{stock}/Balance()?$format=json&$filter=Номенклатура_Key eq guid'{product}'"),
    ];
    let expected: Vec<_> = balance.iter().filter(|row| row["Номенклатура_Key"] == product).cloned().collect();
    for path in filtered {
        assert_eq!(client.json(&path).await["value"], json!(expected), "{path}");
    }

    let prices = "InformationRegister_ЦеныНоменклатуры";
    let before = client.json(&format!("{prices}/SliceLast()?$format=json")).await["value"].clone();
    let price = before[0].clone();
    let mut newer = price.as_object().unwrap().clone();
    newer.insert("Period".into(), json!("2026-03-01T00:00:00"));
    let newer_price: Value = serde_json::from_str("77.77").unwrap();
    newer.insert("Цена".into(), newer_price.clone());
    simulator.write(prices, "", newer.into()).unwrap();
    let after = client.json(&format!("{prices}/SliceLast()?$format=json")).await["value"].clone();
    assert_eq!(after.as_array().unwrap().len(), before.as_array().unwrap().len());
    assert!(after.as_array().unwrap().iter().any(|row| row["Цена"] == newer_price));
    let earlier = client.json(&format!("{prices}/SliceLast(Period=datetime'2026-02-01T00:00:00')?$format=json")).await;
    assert_eq!(earlier["value"], before);
    let states = client.json("InformationRegister_СостоянияЗаказов_RecordType/SliceLast()?$format=json").await;
    assert!(!states["value"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn changes_come_until_they_are_notified() {
    let (simulator, client) = started().await;
    assert!(!client.select(1).await.contains("<entry>"));
    let order =
        client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0]["Ref_Key"].as_str().unwrap().to_owned();
    let key = format!("guid'{order}'");
    simulator.write(ORDERS, &key, json!({ "Комментарий": "раз" })).unwrap();
    let first = client.select(2).await;
    assert!(first.contains(&format!("{ORDERS}({key})</id>")));
    assert!(first.contains("<d:Комментарий>раз</d:Комментарий>"));
    let recorder = format!(
        "AccumulationRegister_ТоварыНаСкладах(Recorder='{order}', Recorder_Type='StandardODATA.{ORDERS}')</id>"
    );
    assert!(first.contains(&recorder), "{first}");
    assert!(
        !first.contains("<d:Ref_Key>7a616b00-0001-11ec-9a5b-2545f4914f6d</d:Ref_Key>\n\t\t\t"),
        "no owner in lines"
    );

    simulator.write(ORDERS, &key, json!({ "Комментарий": "два", "Posted": false })).unwrap();
    client.notify(2).await;
    let second = client.select(3).await;
    assert!(second.contains("<d:Комментарий>два</d:Комментарий>"), "a change between the two calls survives");
    assert!(
        second.contains(
            "<d:RecordSet m:type=\"Collection(StandardODATA.AccumulationRegister_ТоварыНаСкладах_RowType)\"/>"
        )
    );
    assert_eq!(client.select(4).await, second, "until it is notified");
    client.notify(4).await;
    assert!(!client.select(5).await.contains("<entry>"));

    assert_eq!(client.send(reqwest::Method::DELETE, &format!("{ORDERS}({key})"), None).await.status, 204);
    let gone = client.select(6).await;
    assert!(
        gone.contains(&format!("\t<at:deleted-entry ref=\"{}/{ORDERS}({key})\"\r\n\t\t\twhen=\"", simulator.url()))
    );
    let node = client.json(&format!("ExchangePlan_ШинаДанных(guid'{}')?$format=json", simulator.node())).await;
    assert_eq!((&node["SentNo"], &node["ReceivedNo"]), (&json!("6"), &json!("4")));
    let own = client.json("ExchangePlan_ШинаДанных?$format=json&$filter=ThisNode eq true").await;
    let own = own["value"][0]["Ref_Key"].as_str().unwrap().to_owned();
    assert_eq!(client.plan("SelectChanges", &own, 1).await.status, 500);
}

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
